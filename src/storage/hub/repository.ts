import { InvalidOptionError } from '../../errors';

/** A repository on a hub that speaks Hugging Face's protocol. */
export interface RepositoryRef {
  /** "owner/name". */
  readonly repository: string;
  /** A branch, tag or commit. */
  readonly revision: string;
  /** Where the hub is, without a slash at the end. */
  readonly hub: string;
  /** Sent to the hub, and never to where it redirects to. */
  readonly token?: string;
}

export const DEFAULT_HUB = 'https://huggingface.co';
const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;
const FILE = /\.(?:gguf|safetensors|json)$/i;

/** Whether a model's address reads as "owner/name", and not as a relative path of a file. */
export function isRepositoryName(address: string): boolean {
  return NAME.test(address) && !FILE.test(address) && !address.includes('..');
}

/** Checks what a caller gave. Throws InvalidOptionError naming the field. */
export function repositoryRef(given: {
  readonly repository: string;
  readonly revision?: string;
  readonly hub?: string;
  readonly token?: string;
}): RepositoryRef {
  const { repository, revision = 'main', hub = DEFAULT_HUB, token } = given;
  if (!isRepositoryName(repository)) {
    throw new InvalidOptionError('model', `"${repository}" is no repository (owner/name)`);
  }
  if (!/^[\w.-]+(?:\/[\w.-]+)*$/.test(revision) || revision.includes('..')) {
    throw new InvalidOptionError('revision', `"${revision}" is no branch, tag or commit`);
  }
  if (!URL.canParse(hub) || !/^https?:$/.test(new URL(hub).protocol)) {
    throw new InvalidOptionError('hub', `"${hub}" is no address`);
  }
  // A token is a header's value: it must not be able to add headers.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new InvalidOptionError('token', 'is no access token');
  return { repository, revision, hub: hub.replace(/\/+$/, ''), token };
}

/** "owner/name", with the revision where it is not the default. */
export function nameOf({ repository, revision }: RepositoryRef): string {
  return revision === 'main' ? repository : `${repository}@${revision}`;
}

export function authorization({ token }: RepositoryRef): Readonly<Record<string, string>> {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

export function fileUrl({ hub, repository, revision }: RepositoryRef, path: string): string {
  return `${hub}/${repository}/resolve/${encodeURIComponent(revision)}/${encoded(path)}`;
}

export function treeUrl({ hub, repository, revision }: RepositoryRef): string {
  return `${hub}/api/models/${repository}/tree/${encodeURIComponent(revision)}?recursive=true`;
}
