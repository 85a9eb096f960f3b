import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from 'varve/testing';
import { turns } from '../turns.ts';

export interface RaceOptions {
  readonly moduleUrl: string;
  readonly directory: string;
  /** Elsewhere than `directory`: it must not depend on what is tested. */
  readonly detectorDirectory: string;
  /** How often somebody is killed or stopped. */
  readonly disturbances: number;
  readonly seed: number;
}

export interface RaceResult {
  readonly acquiredCount: number;
  readonly killedCount: number;
  /** Of the killed ones, those that held the lock. */
  readonly killedHolderCount: number;
  readonly stoppedCount: number;
  /** Who met whom. */
  readonly doubleHolders: readonly string[];
  readonly failures: readonly string[];
}

type Message =
  | { readonly event: 'acquired' }
  | { readonly event: 'failed'; readonly message: string }
  | { readonly event: 'met'; readonly owner: string; readonly atNs: string };

/**
 * Four processes lock and release one directory while random ones are killed, and stopped for a while. A holder that
 * meets another holder's detector asks here, and is right unless that other one was killed before they met.
 */
export async function raceForLock(options: RaceOptions): Promise<RaceResult> {
  const race = new Race(options);
  for (let count = 0; count < 4; count += 1) {
    race.start();
  }
  for (let count = 0; count < options.disturbances; count += 1) {
    await race.nextDisturbance();
    await race.disturb();
  }
  return race.end();
}

interface Racer {
  readonly name: string;
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  /** When it was told to die. */
  killedAtNs: bigint | undefined;
}

class Race {
  readonly #options: RaceOptions;
  readonly #random: SeededRandom;
  readonly #detectorPath: string;
  readonly #racers = new Map<string, Racer>();
  readonly #doubleHolders: string[] = [];
  readonly #failures: string[] = [];
  #acquiredCount = 0;
  /** Called when a racer has said something, or ended. */
  #tellNews: () => void = () => {};
  #killedCount = 0;
  #killedHolderCount = 0;
  #stoppedCount = 0;
  #hasEnded = false;

  constructor(options: RaceOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#detectorPath = join(options.detectorDirectory, 'detector');
  }

  start(): void {
    const name = `racer-${this.#racers.size}`;
    const seed = String(this.#random.uint32());
    const { moduleUrl, directory, detectorDirectory } = this.#options;
    const path = join(import.meta.dirname, '..', 'fixtures', 'lock-racer.js');
    const child = fork(path, [moduleUrl, directory, detectorDirectory, name, seed], {
      execArgv: [],
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', (code, signal) => {
        this.#onExit(racer, code, signal);
        resolve();
      });
    });
    const racer: Racer = { name, child, exited, killedAtNs: undefined };
    child.on('message', (message: Message) => void this.#onMessage(racer, message));
    this.#racers.set(name, racer);
  }

  /** Some turns after somebody has had the lock: so often that it is held, waited for, and free. */
  async nextDisturbance(): Promise<void> {
    const wanted = this.#acquiredCount + 1 + this.#random.below(8);
    while (this.#acquiredCount < wanted && this.#failures.length === 0) {
      await new Promise<void>((resolve) => (this.#tellNews = resolve));
    }
    await turns(this.#random.below(2_000));
  }

  /** Kills one, or stops one for a while. */
  async disturb(): Promise<void> {
    // Half the time the holder, if there is one: it is the one that matters.
    const owner = this.#random.chance(0.5) ? await this.#nextOwner() : undefined;
    const living = [...this.#racers.values()].filter((racer) => racer.killedAtNs === undefined);
    const racer =
      living.find(({ name }) => name === owner) ?? living[this.#random.below(living.length)];
    if (racer === undefined) {
      return;
    }
    if (this.#random.chance(0.6)) {
      this.#kill(racer);
    } else {
      this.#stoppedCount += 1;
      racer.child.kill('SIGSTOP');
      void turns(this.#random.below(5_000)).then(() => racer.child.kill('SIGCONT'));
    }
  }

  async #nextOwner(): Promise<string | undefined> {
    let owner = this.#detectorOwner();
    for (let turn = 0; turn < 10_000 && owner === undefined; turn += 1) {
      await turns(1);
      owner = this.#detectorOwner();
    }
    return owner;
  }

  async end(): Promise<RaceResult> {
    this.#hasEnded = true;
    for (const racer of this.#racers.values()) {
      this.#kill(racer);
    }
    await Promise.all([...this.#racers.values()].map(({ exited }) => exited));
    return {
      acquiredCount: this.#acquiredCount,
      killedCount: this.#killedCount,
      killedHolderCount: this.#killedHolderCount,
      stoppedCount: this.#stoppedCount,
      doubleHolders: this.#doubleHolders,
      failures: this.#failures,
    };
  }

  #kill(racer: Racer): void {
    if (racer.killedAtNs === undefined) {
      // Order: the time is taken first. Whoever met it before that met a living one.
      racer.killedAtNs = process.hrtime.bigint();
      this.#killedCount += 1;
      racer.child.kill('SIGKILL');
    }
  }

  #onExit(racer: Racer, code: number | null, signal: string | null): void {
    if (racer.killedAtNs === undefined) {
      this.#failures.push(`${racer.name} ended by itself: code ${code}, signal ${signal}`);
      racer.killedAtNs = process.hrtime.bigint();
    }
    // Only its owner and we remove the detector. This owner is dead, so what says its name now is left over.
    if (this.#detectorOwner() === racer.name) {
      this.#killedHolderCount += 1;
      unlinkSync(this.#detectorPath);
    }
    this.#tellNews();
    // Where racers end by themselves, more of them would, too.
    if (!this.#hasEnded && this.#failures.length === 0) {
      this.start();
    }
  }

  async #onMessage(racer: Racer, message: Message): Promise<void> {
    if (message.event === 'acquired') {
      this.#acquiredCount += 1;
      this.#tellNews();
    } else if (message.event === 'failed') {
      this.#failures.push(message.message);
      this.#tellNews();
    } else {
      await this.#judge(racer, message.owner, BigInt(message.atNs));
    }
  }

  async #judge(racer: Racer, ownerName: string, atNs: bigint): Promise<void> {
    const owner = this.#racers.get(ownerName);
    if (owner?.killedAtNs === undefined || atNs < owner.killedAtNs) {
      this.#doubleHolders.push(`${racer.name} met ${ownerName}`);
    } else {
      await owner.exited;
    }
    if (racer.child.connected) {
      racer.child.send('try again', () => {});
    }
  }

  #detectorOwner(): string | undefined {
    try {
      return readFileSync(this.#detectorPath, 'utf8');
    } catch {
      return undefined;
    }
  }
}
