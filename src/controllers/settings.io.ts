// The settings controller: the chart's values as resources, and again whenever somebody changes them.
import type { Json } from '../base/json.ts';
import { parseResource, type Resource } from '../model/resource.ts';
import { type ControllerParts, openReconciler, type Reconciler } from './reconcile.io.ts';
import { type ClusterSettings, SETTINGS_KEYS, wantedSettings } from './settings.ts';

const KEYS: readonly string[] = Object.values(SETTINGS_KEYS);
const KINDS = {
  [SETTINGS_KEYS.bgp]: 'BGPConfiguration',
  [SETTINGS_KEYS.felix]: 'FelixConfiguration',
  [SETTINGS_KEYS.pool]: 'IPPool',
};

export function settingsController(parts: ControllerParts, settings: ClusterSettings): Reconciler {
  const { mirror, log } = parts;
  const reconciler = openReconciler(parts, (key) => KEYS.includes(key));
  const said = new Set<string>();
  const stored = (key: string): object | undefined => {
    const item = mirror.get(key);
    const parsed = item && parseResource<string, Json & object>(KINDS[key] ?? '', item.value);
    return parsed?.ok ? (parsed.value as Resource<string, object>).spec : undefined;
  };
  const derive = (): void => {
    if (!mirror.inSync) return;
    const { wanted, ignored } = wantedSettings(settings, stored);
    for (const { message } of ignored) {
      if (!said.has(message)) log.warn(message);
      said.add(message);
    }
    reconciler.replace(wanted);
  };
  mirror.onSnapshot(derive);
  mirror.onChange((key) => {
    if (KEYS.includes(key)) derive();
  });
  return reconciler;
}
