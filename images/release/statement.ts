// Where a release comes from, as an in-toto statement with SLSA's predicate (slsa.dev/provenance/v1).
// It says nothing of time or machine. Sign it with the tool of
// your pipeline (cosign attest-blob, gh attestation).

export interface Subject {
  readonly name: string;
  readonly digest: { readonly sha256: string };
}

export interface Source {
  /** Commit. */
  readonly revision: string;
  /** What else went in. */
  readonly materials: readonly Subject[];
}

/** The statement. */
export const statementOf = (subjects: readonly Subject[], { revision, materials }: Source) => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: subjects,
  predicateType: 'https://slsa.dev/provenance/v1',
  predicate: {
    buildDefinition: {
      buildType: 'https://calico-kit.io/make-release/v1',
      externalParameters: { command: 'make release' },
      resolvedDependencies: [
        { name: 'source', digest: { gitCommit: revision } },
        ...materials.map(({ name, digest }) => ({ name, digest })),
      ],
    },
    runDetails: { builder: { id: 'https://calico-kit.io/Makefile' } },
  },
});
