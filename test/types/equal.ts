/** True if two types are the same one, not merely assignable to each other. */
export type Equal<Left, Right> =
  (<Type>() => Type extends Left ? 1 : 2) extends <Type>() => Type extends Right ? 1 : 2
    ? true
    : false;

/** Compiles only if the type is `true`. */
export declare function is<Claim extends true>(): Claim;
