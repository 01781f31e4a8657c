import { type Browser, chromium } from 'playwright-core';

const QUIET = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];
const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** The Vulkan driver that comes with Debian's Chromium: the adapter that the pages get here, also for Dawn in Node. */
export const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** Debian's Chromium. Without `webgpu` it has no adapter, as on a machine whose driver is on the block list. */
export function launchChromium({ webgpu }: { webgpu: boolean }): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: webgpu ? [...QUIET, ...WEBGPU] : QUIET });
}
