import { SourceError } from '../../errors';
import { nameOf, type RepositoryRef } from './repository';

/** What a hub's refusal means and what can be done. `code` is its X-Error-Code, `path` the file that was asked for. */
export function hubError(
  ref: RepositoryRef,
  status: number,
  { path, code, cause }: { readonly path?: string; readonly code?: string | null; readonly cause?: unknown } = {},
): SourceError {
  const details = { repository: ref.repository, status, ...(path === undefined ? {} : { file: path }) };
  return new SourceError(`${nameOf(ref)}: ${meaning(ref, status, path, code ?? undefined)}`, { details, cause });
}

export function unreachable(ref: RepositoryRef, cause: unknown): SourceError {
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  return new SourceError(`${nameOf(ref)}: no connection to ${ref.hub}${why}; check that this device is online`, {
    details: { repository: ref.repository },
    cause,
  });
}

function meaning(ref: RepositoryRef, status: number, path: string | undefined, code: string | undefined): string {
  if (code === 'RevisionNotFound') return `there is no revision "${ref.revision}" (404)`;
  if (code === 'EntryNotFound' || (status === 404 && path !== undefined)) {
    return `there is no file "${path}" in revision "${ref.revision}" (404)`;
  }
  if (status === 404) return `there is no such repository on ${ref.hub}, or no revision "${ref.revision}" in it (404)`;
  if (status === 401 || status === 403) return denied(ref, status, code);
  if (status === 429) return `${ref.hub} answers no more requests from here for now (429); try again in some minutes`;
  return `${ref.hub} answered ${status}`;
}

function denied({ token, hub }: RepositoryRef, status: number, code: string | undefined): string {
  if (token !== undefined) return `the token gives no access to it (${status}); accept its terms on ${hub} first`;
  if (code === 'GatedRepo') return `it is gated (${status}): accept its terms on ${hub}, then give an access token`;
  return `it is gated, private or does not exist (${status}); give an access token if you have one`;
}
