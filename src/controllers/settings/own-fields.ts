// Fields of a resource that others write too. An annotation names those that came from the settings, so
// that they go when they leave them, and nothing of anybody else's does.

const FIELDS = 'calico-kit.io/settings-fields';

type Annotations = Readonly<Record<string, string>>;

/** What is in the datastore, and the texts of annotations; nothing: it is not there. */
export interface Present {
  readonly spec: object;
  readonly annotations: Annotations;
}

/** What others wrote: everything but the fields that came from the settings before. */
export function othersFields({ spec, annotations }: Present): object {
  const ours = fieldsOf(annotations);
  return Object.fromEntries(Object.entries(spec).filter(([field]) => !ours.includes(field)));
}

/**
 * The annotations that say which fields are the settings' now, and `texts`, of which an empty one
 * is written only over one of ours.
 */
export function ownAnnotations(fields: object, texts: Annotations, before: Annotations) {
  const names = [
    ...Object.keys(fields),
    ...Object.keys(texts).filter((name) => texts[name] !== ''),
  ].toSorted();
  const was = fieldsOf(before);
  const written = Object.entries(texts).filter(([name, text]) => text !== '' || was.includes(name));
  return {
    ...Object.fromEntries(written),
    ...(names.length + was.length > 0 ? { [FIELDS]: names.join(',') } : {}),
  };
}

const fieldsOf = (annotations: Annotations): readonly string[] =>
  (annotations[FIELDS] ?? '').split(',').filter(Boolean);
