// Makes sure that this machine can run the GPU and browser tests: a Vulkan driver that Dawn accepts and a Chromium.
// On Debian or Ubuntu as root it installs what is missing and says so; elsewhere it says what to install and exits with 1.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const driverFolders = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];
const chromiumPaths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function drivers() {
  return driverFolders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
}

function hasVulkanLoader() {
  try {
    return execFileSync('ldconfig', ['-p'], { encoding: 'utf8' }).includes('libvulkan.so.1');
  } catch {
    return false;
  }
}

const osRelease = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
const codename = /^VERSION_CODENAME=(.+)$/m.exec(osRelease)?.[1]?.replaceAll('"', '');
const isDebianLike = /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(osRelease);
const isRoot = process.getuid?.() === 0;

const needDriver = drivers().length === 0 || !hasVulkanLoader();
const needChromium = !chromiumPaths.some((path) => existsSync(path));

/** Debian 12's own Mesa (22.3) is too old for Dawn: the same archive's backports suite has a newer one. */
function addBackports() {
  const sources = '/etc/apt/sources.list.d/debian.sources';
  const target = '/etc/apt/sources.list.d/bookworm-backports.sources';
  if (existsSync(target)) return true;
  if (!existsSync(sources)) return false;
  const stanza = readFileSync(sources, 'utf8')
    .split(/\n\s*\n/)
    .find((text) => /^Suites:.*bookworm-updates/m.test(text));
  if (!stanza) return false;
  writeFileSync(target, `${stanza.replace(/^Suites:.*$/m, 'Suites: bookworm-backports').trim()}\n`);
  return true;
}

function apt(...args) {
  execFileSync('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

if (needDriver || needChromium) {
  const wanted = [needDriver && 'a Vulkan driver (Mesa lavapipe 24 or newer)', needChromium && 'Chromium'].filter(
    Boolean,
  );
  if (!isDebianLike || !isRoot) {
    console.error(`The tests need ${wanted.join(' and ')}.`);
    console.error(
      isDebianLike
        ? 'Run as root once, or: apt-get install chromium libvulkan1 mesa-vulkan-drivers (Debian 12: mesa-vulkan-drivers from bookworm-backports).'
        : 'Install Mesa\'s software Vulkan driver ("vulkan-swrast", "mesa-vulkan-drivers") or your GPU\'s driver, and Chromium, with your package manager.',
    );
    process.exit(1);
  }
  console.error(`Installing ${wanted.join(' and ')} with apt-get …`);
  const backports = codename === 'bookworm' && needDriver && addBackports();
  apt('update', '-qq');
  if (needDriver) {
    apt(
      'install',
      '-y',
      '-qq',
      '--no-install-recommends',
      ...(backports ? ['-t', 'bookworm-backports'] : []),
      'mesa-vulkan-drivers',
      'libvulkan1',
    );
  }
  if (needChromium) apt('install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core');
}

// The drivers complain without it.
if (!process.env.XDG_RUNTIME_DIR) mkdirSync('/tmp/tessera-runtime', { recursive: true, mode: 0o700 });
