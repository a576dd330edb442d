// The record of calico-etcd's members in its ConfigMap, and the pods that carry them.
import type { SharedObjects } from '../../kubernetes/objects.io.ts';
import { type ClusterRecord, parseRecord, printRecord, RECORD, RECORD_KEY } from './record.ts';

interface ConfigMap {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string };
  readonly data?: Readonly<Record<string, string>>;
}

interface PodList {
  readonly items: readonly {
    readonly spec?: { readonly nodeName?: string };
    readonly status?: { readonly hostIP?: string };
  }[];
}

/** What was read; `write` succeeds only if nobody else has written since. */
export interface SharedRecord {
  readonly record: ClusterRecord | undefined;
  write(record: ClusterRecord): Promise<boolean>;
}

export async function readRecord(objects: SharedObjects, namespace: string): Promise<SharedRecord> {
  const collection = `/api/v1/namespaces/${namespace}/configmaps`;
  const found = await objects.get<ConfigMap>(`${collection}/${RECORD}`);
  const text = found?.data?.[RECORD_KEY];
  return {
    record: text === undefined ? undefined : parseRecord(text),
    write: (record) => {
      const data = { [RECORD_KEY]: printRecord(record) };
      if (found) return objects.replace(`${collection}/${RECORD}`, { ...found, data });
      const metadata = { name: RECORD, labels: { 'k8s-app': 'calico-etcd' } };
      const made = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
      return objects.createIfAbsent(collection, made);
    },
  };
}

/** Nodes and addresses that have a pod of calico-etcd. */
export async function nodesWithPods(
  objects: SharedObjects,
  namespace: string,
): Promise<ReadonlySet<string>> {
  const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=k8s-app%3Dcalico-etcd`;
  const list = await objects.get<PodList>(path);
  return new Set(
    (list?.items ?? []).flatMap(({ spec, status }) =>
      [spec?.nodeName, status?.hostIP].filter((one) => one !== undefined),
    ),
  );
}
