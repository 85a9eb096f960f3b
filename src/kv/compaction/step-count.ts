let count = 0;

/** Notes that a step of a job is done in this thread. */
export function countStep(): void {
  count += 1;
}

/** Steps of jobs that were done in this thread: each thread has a count of its own. */
export function stepsInThisThread(): number {
  return count;
}
