import { stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { InvalidOptionError } from '../errors';
import { chooseModelFile } from '../formats/choose_file';
import { openModelFile } from '../formats/open_model_file';
import { isSyntheticName, type ModelOrigin } from '../model/origin';
import { namedSyntheticModel } from '../model/synthetic';
import { urlFolder } from '../storage/folder';
import { openRepository } from '../storage/hub/hub_folder';
import { isRepositoryName, repositoryRef } from '../storage/hub/repository';
import { fileSource } from './file_source';
import { listedNodeFolder, nodeFolder } from './node_folder';
import { notice } from './output';

/**
 * A model argument: `synthetic:SHAPE:FORMAT`, a URL, the path of a file or of a folder, or `owner/repo[@REVISION][:FILE]` of the
 * hub, where HF_ENDPOINT
 * and HF_TOKEN in the environment say which hub and who asks. Reads headers at most.
 */
export async function openSource(model: string): Promise<ModelOrigin> {
  if (isSyntheticName(model)) return namedSyntheticModel(model);
  if (/^https?:\/\//.test(model)) {
    const name = lastPart(model);
    return await openModelFile(urlFolder(model), name);
  }
  const status = await stat(model).catch(() => undefined);
  if (status?.isDirectory()) {
    const folder = await listedNodeFolder(resolve(model));
    return await openModelFile(folder, chooseModelFile(model, folder.files).path);
  }
  const address = status ? undefined : /^([^@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(model);
  if (address && isRepositoryName(address[1])) return await openFromHub(address[1], address[2], address[3]);
  if (/-\d{5}-of-\d{5}\.gguf$|\.safetensors(?:\.index\.json)?$/i.test(model)) {
    return await openModelFile(nodeFolder(dirname(model)), basename(model));
  }
  return await fileSource(model);
}

function lastPart(url: string): string {
  try {
    return decodeURIComponent(new URL(url).pathname.split('/').pop() ?? '');
  } catch (cause) {
    throw new InvalidOptionError('MODEL', `"${url}" is not a URL`, { cause });
  }
}

async function openFromHub(
  repository: string,
  revision: string | undefined,
  file: string | undefined,
): Promise<ModelOrigin> {
  const { HF_ENDPOINT: hub, HF_TOKEN: token } = process.env;
  const ref = repositoryRef({ repository, revision, hub: hub || undefined, token: token || undefined });
  const folder = await openRepository(ref);
  if (file !== undefined) return await openModelFile(folder, file);
  const chosen = chooseModelFile(folder.name, folder.files, totalmem() / 2);
  notice(`${folder.name}: ${chosen.path}`);
  return await openModelFile(folder, chosen.path);
}
