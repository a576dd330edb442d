// How the program reaches the datastore by calicoctl's configuration file.
import { parse } from 'yaml';
import { fail, ok, type Result } from '../base/result.ts';
import { checkedSettings, type EtcdSettings, listOf, type Pem } from '../datastore/settings.ts';

/** Where calicoctl looks when it is told nothing. */
export const CONFIG_PATH = '/etc/calico/calicoctl.cfg';

/** By the text of a CalicoAPIConfig, YAML or JSON. Errors: what is wrong with it. */
export function settingsOfConfig(text: string): Result<EtcdSettings> {
  const spec = specOf(text);
  if (!spec.ok) return spec;
  const field = (name: string): string => {
    const value = spec.value[name];
    return typeof value === 'string' ? value : '';
  };
  const type = field('datastoreType') || 'etcdv3';
  if (type !== 'etcdv3') return fail(`datastoreType '${type}': only etcdv3 is supported`);
  if (field('etcdUsername')) return fail('etcdUsername is not supported: use a certificate');
  const endpoints = listOf(field('etcdEndpoints'));
  if (endpoints.length === 0) return fail('spec.etcdEndpoints is missing');
  const names = ['etcdCACert', 'etcdCert', 'etcdKey'] as const;
  const inline = names.filter((name) => field(name));
  const files = names.filter((name) => field(`${name}File`));
  if (inline.length > 0 && files.length > 0)
    return fail(`give ${inline[0]} and the like as text or as files, not both`);
  const [authorities, certificate, key] = names.map((name): Pem | undefined => {
    if (field(name)) return { text: field(name) };
    return field(`${name}File`) ? { file: field(`${name}File`) } : undefined;
  });
  return checkedSettings(endpoints, { authorities, certificate, key });
}

function specOf(text: string): Result<Readonly<Record<string, unknown>>> {
  let read: unknown;
  try {
    read = parse(text);
  } catch (cause) {
    return fail(`no YAML: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const { kind, spec } = (read ?? {}) as { kind?: unknown; spec?: unknown };
  if (kind !== 'CalicoAPIConfig') return fail(`kind is '${String(kind)}', not CalicoAPIConfig`);
  return ok((spec ?? {}) as Readonly<Record<string, unknown>>);
}
