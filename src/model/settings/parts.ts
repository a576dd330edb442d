// The parts that the schema of the settings is made of.
import Type, { type TProperties } from 'typebox';

export const closed = { additionalProperties: false } as const;

/** A map with these keys only. */
export const map = <P extends TProperties>(properties: P, description?: string) =>
  Type.Object(properties, { ...closed, ...(description === undefined ? {} : { description }) });

/** `"on"`, `"off"`, yes, no, true, false in any case, as text or as a boolean. */
export type Switch = boolean | string;
export const switchOf = (value: Switch, description: string) =>
  Type.Unsafe<Switch>({ type: ['string', 'boolean'], default: value, description });

export const enumOf = <T extends string>(values: readonly T[], value: T, description: string) =>
  Type.Unsafe<T>({ type: 'string', enum: values, default: value, description });

export const text = (value: string, description: string) =>
  Type.String({ default: value, description });

export const integer = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, default: value, description });

export const port = (value: number, description: string) => integer(value, 1, 65535, description);

/** Fields that may be left out. */
export const optional = {
  text: (description: string) => Type.Optional(Type.String({ description })),
  flag: (description: string) => Type.Optional(Type.Boolean({ description })),
  whole: (minimum: number, maximum: number, description: string) =>
    Type.Optional(Type.Integer({ minimum, maximum, description })),
  word: <T extends string>(values: readonly T[], description: string) =>
    Type.Optional(Type.Unsafe<T>({ type: 'string', enum: values, description })),
  texts: (description: string) => Type.Optional(Type.Array(Type.String(), { description })),
};

/** A part that is one value for the constructs, whatever it holds; null stands for nothing. */
export const orNull = <T extends object>(part: T, description: string) =>
  ({ ...part, type: ['object', 'null'], description }) as T;

/** Texts with free keys, such as labels. */
export const texts = (description: string, value: Readonly<Record<string, string>> = {}) =>
  Type.Unsafe<Readonly<Record<string, string>>>({
    type: 'object',
    additionalProperties: { type: 'string' },
    default: value,
    description,
  });
