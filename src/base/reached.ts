/**
 * Marks a branch that a test run must have taken (coverage goals: a crash suite that never tore a frame proves nothing).
 * Outside tests no set is installed and a mark costs one comparison.
 */
export function reached(goal: string): void {
  if (goals !== undefined) {
    goals.add(goal);
  }
}

let goals: Set<string> | undefined;

/** Installs the set that collects marks, or undefined to stop collecting. For tests. */
export function collectGoals(into: Set<string> | undefined): void {
  goals = into;
}
