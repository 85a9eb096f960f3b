/** Turns of the event loop: to let other things happen for a while without waiting for time. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise(setImmediate);
  }
}
