/** True if two types are the same one, not merely assignable to each other. */
export type Equal<Left, Right> = Probe<Left> extends Probe<Right> ? true : false;

/** The compiler holds two of these for the same only if `Asked` is. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the question is put for every type
type Probe<Asked> = <Type>() => Type extends Asked ? 1 : 2;

/** Compiles only if the type is `true`. */
export declare function is<Claim extends true>(claim?: Claim): Claim;
