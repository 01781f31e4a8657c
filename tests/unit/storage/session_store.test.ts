import { afterEach, expect, test, vi } from 'vitest';
import { InvalidOptionError, SourceError } from '../../../src/errors';
import { deleteStoredSession, listStoredSessions } from '../../../src/index';
import { SessionStore } from '../../../src/storage/store/session_store';
import { type FakeOpfs, fakeOpfs } from '../../support/fake_opfs';

afterEach(() => void vi.unstubAllGlobals());

/** The private file system of this "browser". */
function useFakeOpfs(): FakeOpfs {
  const opfs = fakeOpfs();
  const root = { getDirectoryHandle: async () => opfs.directory };
  vi.stubGlobal('navigator', { storage: { getDirectory: async () => root } });
  return opfs;
}

const bytes = (...values: readonly number[]) => Uint8Array.from(values);

test('sessions are kept by name, listed and deleted; a second save takes the place of the first', async () => {
  const opfs = useFakeOpfs();
  const store = await SessionStore.require();
  await store.write('a / trip', 'model one', bytes(1, 2, 3));
  const again = await store.write('a / trip', 'model one', bytes(4, 5));
  await store.write('überall 🚀', 'model two', bytes(6));
  expect(again).toMatchObject({ name: 'a / trip', model: 'model one', bytes: 2 });
  expect(await store.read('a / trip')).toEqual(bytes(4, 5));
  const listed = await listStoredSessions();
  expect(listed.map(({ name }) => name).sort()).toEqual(['a / trip', 'überall 🚀']);
  expect(listed[0].savedAt).toBeInstanceOf(Date);
  expect(opfs.entries.size).toBe(4);
  await deleteStoredSession('a / trip');
  await deleteStoredSession('a / trip');
  await expect(store.read('a / trip')).rejects.toThrow(InvalidOptionError);
  expect(await store.read('überall 🚀')).toEqual(bytes(6));
  expect(opfs.entries.size).toBe(2);
});

test('a save that does not fit is an error with the bytes, and leaves the one before', async () => {
  const opfs = useFakeOpfs();
  const store = await SessionStore.require();
  await store.write('mine', 'm', bytes(1, 2, 3));
  opfs.capacity = 400;
  await expect(store.write('mine', 'm', new Uint8Array(500))).rejects.toMatchObject({
    code: 'source',
    details: { bytes: 500 },
  });
  expect(await store.read('mine')).toEqual(bytes(1, 2, 3));
  expect(opfs.entries.size).toBe(2);
});

test('names and stores that cannot be, records and files that are broken', async () => {
  const opfs = useFakeOpfs();
  const store = await SessionStore.require();
  for (const name of ['', 'x'.repeat(201), 5 as never]) {
    await expect(store.write(name, 'm', bytes(1))).rejects.toThrow(InvalidOptionError);
  }
  await store.write('mine', 'm', bytes(1));
  for (const name of Array.from(opfs.entries.keys())) if (!name.endsWith('.json')) opfs.entries.delete(name);
  await expect(store.read('mine')).rejects.toThrow(SourceError);
  for (const entry of opfs.entries.values()) entry.bytes = entry.bytes.slice(0, 9);
  expect(await store.list()).toEqual([]);
  vi.unstubAllGlobals();
  expect(await listStoredSessions()).toEqual([]);
  await expect(deleteStoredSession('mine')).rejects.toThrow(InvalidOptionError);
});
