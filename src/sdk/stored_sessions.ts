import { SessionStore, type StoredSession } from '../storage/store/session_store';

/** The sessions that are stored in this browser, newest first. Empty where nothing can be stored. */
export async function listStoredSessions(): Promise<StoredSession[]> {
  return (await (await SessionStore.open())?.list()) ?? [];
}

/** Removes a stored session; one that is not there is no error. Rejects with InvalidOptionError where nothing can be stored. */
export async function deleteStoredSession(name: string): Promise<void> {
  await (await SessionStore.require()).delete(name);
}
