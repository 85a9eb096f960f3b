import { open } from 'varve';
import { FaultPlan, SeededRandom } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { eventsOf } from './damage.ts';
import { afterwards, checkDisk, FaultRun, filler, options } from './fault-run.ts';
import { type Attempt, call, STORE } from './workload.ts';
describe('a full disk', () => {
  it('refuses appends, poisons nothing, and takes appends again once there is space', async () => {
    const run = new FaultRun(new FaultPlan());
    await run.open();
    await run.send('orders', { total: 1 }, 'before');
    const { faults } = run.disk;
    faults.capacity = run.disk.allocatedSize + 300_000;
    let refused: Attempt | undefined;
    for (let index = 0; index < 40 && refused === undefined; index += 1) {
      const attempt = await run.send('large', filler.subarray(0, 100_000), `large-${index}`);
      refused = attempt.error === undefined ? undefined : attempt;
    }
    expect(refused?.error).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    const refusedToo = await Promise.all([
      run.send('large', filler.subarray(0, 900_000), 'too large'),
      run.send('large', filler.subarray(0, 900_000), 'too large, too'),
    ]);
    for (const { error } of refusedToo) {
      expect(error).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    }
    expect(run.store!.stats()).toMatchObject({ failure: undefined, waiting: 0 });
    await afterwards(run);
    faults.capacity = Infinity;
    const again = await call(run.store!, refused!.parts, refused!.options);
    expect(again.outcome).toBe('appended');
    run.recorder.attempts.splice(0, Infinity);
    await run.close();
    await checkDisk(run, run.disk, 'after a full disk');
  });

  it('still opens for readers after a power cut, and goes on when there is space', async () => {
    const run = new FaultRun(new FaultPlan());
    await run.open();
    for (let index = 0; index < 5; index += 1) {
      await run.send('large', filler.subarray(0, 150_000), `large-${index}`);
    }
    run.visible = run.store!.head;
    const faults = new FaultPlan({ capacity: 0 });
    const cut = { keep: 'none', sector: 512, directory: 'ordered' } as const;
    const disk = run.disk.crashClone(new SeededRandom(1), cut, { faults });
    faults.capacity = disk.allocatedSize;
    const store = await open(STORE, options, { fileSystem: disk, clock: run.clock });
    expect(await eventsOf(store)).toHaveLength(5);
    faults.capacity = Infinity;
    await call(store, [{ stream: 'large', events: [{ type: 'Space' }] }], {});
    await store.close();
    await checkDisk(run, disk, 'after a full disk and a power cut');
  });
});
