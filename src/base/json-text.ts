/**
 * Values as JSON text, for both stores. JSON.stringify turns much of what it can't hold into something else, without a word:
 * NaN into null, a Map into {}, a function into nothing. Such values are refused, with the path to them.
 *
 * Nearly all data is plain, and one look shows it. Everything else is copied into plain data first, which runs each `toJSON`
 * and getter once; the copy is what is written.
 */
import { types } from 'node:util';
import { VarveError } from './errors.ts';
import { limits } from './limits.ts';

/**
 * The JSON text of a value. `what` names the value in messages, as `data` in `data.items[3].price`.
 *
 * Throws `INVALID_ARGUMENT` or `LIMIT_EXCEEDED` (nested too deep, or too long for a string), and whatever the value's own
 * code throws.
 */
export function jsonTextOf(value: unknown, what: string): string {
  const plain = isPlainJson(value, limits.jsonDepthMax) ? value : new PlainCopier(what).copy(value);
  try {
    return JSON.stringify(plain);
  } catch (cause) {
    if (cause instanceof RangeError && cause.message.includes('string length')) {
      throw new VarveError('LIMIT_EXCEEDED', `${what} is too long to be written as JSON.`, {
        cause,
        details: { path: what },
      });
    }
    throw cause;
  }
}

/** True for data that JSON.stringify loses nothing of, as far as that shows without any code of the value's. */
function isPlainJson(value: unknown, depthLeft: number): boolean {
  if (typeof value !== 'object' || value === null) {
    return isPlainPrimitive(value);
  }
  if (depthLeft === 0 || (value as { toJSON?: unknown }).toJSON !== undefined) {
    return false;
  }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      if (!isPlainJson(value[index], depthLeft - 1)) {
        return false;
      }
    }
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    return false;
  }
  for (const name in value) {
    const inner = (value as Readonly<Record<string, unknown>>)[name];
    // A property that is undefined is one that isn't there.
    if (inner !== undefined && !isPlainJson(inner, depthLeft - 1)) {
      return false;
    }
  }
  return true;
}

function isPlainPrimitive(value: unknown): boolean {
  return (
    typeof value === 'string' ||
    (typeof value === 'number'
      ? Number.isFinite(value)
      : value === null || typeof value === 'boolean')
  );
}

class PlainCopier {
  readonly #what: string;
  /** Names and indexes that lead to the value at hand, and the objects passed on the way. */
  readonly #path: (string | number)[] = [];
  readonly #passed: object[] = [];

  constructor(what: string) {
    this.#what = what;
  }

  copy(value: unknown): unknown {
    const copy = this.#copyOf(value, '');
    if (copy === undefined) {
      this.#refuse('undefined');
    }
    return copy;
  }

  /** Undefined for what is undefined, which is the holder's business. */
  #copyOf(given: unknown, key: string | number): unknown {
    const value = this.#own(given, key);
    if (typeof value === 'object' && value !== null) {
      return this.#copyOfObject(value);
    }
    if (value !== undefined && !isPlainPrimitive(value)) {
      this.#refuse(typeof value === 'number' ? String(value) : kindNames[typeof value]!);
    }
    return value;
  }

  /** What the value says should be written in its place, if it does. */
  #own(given: unknown, key: string | number): unknown {
    const mayHaveOwn =
      (typeof given === 'object' && given !== null) ||
      typeof given === 'function' ||
      typeof given === 'bigint';
    // A Buffer's own word is a list of numbers in an object: nobody who reads it gets the bytes back.
    if (!mayHaveOwn || ArrayBuffer.isView(given)) {
      return given;
    }
    const { toJSON } = given as { readonly toJSON?: unknown };
    if (typeof toJSON !== 'function') {
      return given;
    }
    const value: unknown = toJSON.call(given, String(key));
    return value === null && types.isDate(given) ? this.#refuse('an invalid date') : value;
  }

  #copyOfObject(value: object): unknown {
    const lossy = lossyKindOf(value);
    if (lossy !== undefined) {
      return this.#refuse(lossy);
    }
    if (this.#passed.includes(value)) {
      return this.#refuse('an object that holds itself (a cycle)');
    }
    if (this.#passed.length === limits.jsonDepthMax) {
      const path = this.#pathText();
      throw new VarveError(
        'LIMIT_EXCEEDED',
        `${path} is nested deeper than ${limits.jsonDepthMax} levels of objects and arrays: store it flatter.`,
        { details: { path } },
      );
    }
    this.#passed.push(value);
    const copy = Array.isArray(value) ? this.#copyOfArray(value) : this.#copyOfFields(value);
    this.#passed.pop();
    return copy;
  }

  #copyOfArray(value: readonly unknown[]): unknown[] {
    const copy: unknown[] = [];
    // Once: code of the items may change the array.
    const { length } = value;
    for (let index = 0; index < length; index += 1) {
      this.#path.push(index);
      const inner = this.#copyOf(value[index], index);
      copy.push(inner === undefined ? this.#refuse('undefined') : inner);
      this.#path.pop();
    }
    return copy;
  }

  #copyOfFields(value: object): object {
    const names = Object.keys(value);
    if (names.length === 0 && !isPlainObject(value)) {
      this.#refuse(`${instanceName(value)} with nothing in it that JSON would keep`);
    }
    // Without a prototype, a field named __proto__ is a field.
    const copy = Object.create(null) as Record<string, unknown>;
    for (const name of names) {
      this.#path.push(name);
      const inner = this.#copyOf((value as Readonly<Record<string, unknown>>)[name], name);
      if (inner !== undefined) {
        copy[name] = inner;
      }
      this.#path.pop();
    }
    return copy;
  }

  #refuse(kind: string): never {
    const path = this.#pathText();
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${path} is ${kind}, which JSON can't hold: give plain values, or an object whose toJSON returns them.`,
      { details: { path } },
    );
  }

  #pathText(): string {
    const text = this.#path.reduce<string>(
      (before, step) => `${before}${stepText(step)}`,
      this.#what,
    );
    return text.length <= PATH_LENGTH_MAX
      ? text
      : `${text.slice(0, PATH_LENGTH_MAX / 2)}…${text.slice(-PATH_LENGTH_MAX / 2)}`;
  }
}

const kindNames: Readonly<Record<string, string>> = {
  bigint: 'a BigInt',
  function: 'a function',
  symbol: 'a symbol',
};

/** Longer paths are shown by their ends. */
const PATH_LENGTH_MAX = 300;

function stepText(step: string | number): string {
  if (typeof step === 'number') {
    return `[${step}]`;
  }
  return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
}

/** Raw JSON text in an object, of Node.js 22 on: it may hold numbers that no reader gets back. */
const { isRawJSON } = JSON as { readonly isRawJSON?: (value: unknown) => boolean };

/** The name of a kind of object that JSON would turn into `{}` or into something else, if this is one. */
function lossyKindOf(value: object): string | undefined {
  if (ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value)) {
    return `bytes (${instanceName(value)})`;
  }
  const isLossy =
    types.isMap(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isPromise(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    types.isBoxedPrimitive(value) ||
    types.isGeneratorObject(value);
  if (isLossy) {
    return instanceName(value);
  }
  return isRawJSON?.(value) === true ? 'raw JSON text' : undefined;
}

/** An object of no class, in whichever realm it was made. */
function isPlainObject(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function instanceName({ constructor }: object): string {
  const name = typeof constructor === 'function' ? constructor.name : '';
  return name === '' ? 'an object of a class' : `an instance of ${name}`;
}
