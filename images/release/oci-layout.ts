// A Helm chart as an OCI image layout: a folder that `oras cp --from-oci-layout` or `skopeo copy oci:`
// puts into any registry, where `helm install oci://...` finds it. (OCI image layout 1.1; Helm's media
// types.)
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const CONTENT = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';
const PROVENANCE = 'application/vnd.cncf.helm.chart.provenance.v1.prov';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

export interface ChartArtifact {
  /** Chart.yaml as data. */
  readonly meta: Readonly<Record<string, unknown>>;
  readonly archive: Uint8Array;
  /** Text of the `.prov` file where the chart is signed. */
  readonly provenance?: Uint8Array | undefined;
  /** Commit that the chart was made of. */
  readonly revision: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Writes the layout; the same chart gives the same bytes. Answers the digest of its manifest. */
export function writeLayout(folder: string, chart: ChartArtifact): string {
  rmSync(folder, { recursive: true, force: true });
  const blobs = join(folder, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const blob = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const { name, version, description } = chart.meta as Record<string, string>;
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: blob(CONFIG, json(chart.meta)),
    layers: [
      blob(CONTENT, chart.archive),
      ...(chart.provenance ? [blob(PROVENANCE, chart.provenance)] : []),
    ],
    annotations: {
      'org.opencontainers.image.title': name,
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.description': description,
      'org.opencontainers.image.revision': chart.revision,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  };
  const tag = { 'org.opencontainers.image.ref.name': version! };
  const top: Descriptor = { ...blob(MANIFEST, json(manifest)), annotations: tag };
  writeFileSync(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(
    join(folder, 'index.json'),
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [top],
    }),
  );
  return top.digest;
}

const json = (value: object): Uint8Array => Buffer.from(JSON.stringify(value));
