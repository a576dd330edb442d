// Asking the datastore of the release that runs about pools of new settings.
import { existsSync } from 'node:fs';
import { systemClock } from '../../base/clock.io.ts';
import { pause } from '../../base/pause.io.ts';
import { openStore } from '../../datastore/settings.io.ts';
import { etcdSettings } from '../../datastore/settings.ts';
import { read } from '../ipam/commands.ts';
import type { World } from '../ipam/world.ts';
import type { Output } from '../output.ts';
import { checkPools, notAsked, poolsOfSettings, presentEnvironment } from './check.ts';

const TRIES = 4;
const PAUSE_MILLISECONDS = 1000;

/** By the environment: CALICO_SETTINGS_POOLS and the datastore's. */
export async function checkSettings(env: NodeJS.ProcessEnv): Promise<Output> {
  const settings = poolsOfSettings(env['CALICO_SETTINGS_POOLS']);
  const datastore = etcdSettings(presentEnvironment(env, existsSync));
  if (!datastore.ok) return notAsked(new Error(datastore.error));
  const readOnce = async (): Promise<World> => {
    const store = openStore(datastore.value);
    try {
      return await read(store, systemClock);
    } finally {
      store.close();
    }
  };
  for (let tries = 1; ; tries++) {
    try {
      return checkPools(settings, await readOnce());
    } catch (cause) {
      if (tries === TRIES) return notAsked(cause);
      await pause(PAUSE_MILLISECONDS, new AbortController().signal);
    }
  }
}
