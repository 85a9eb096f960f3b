/** Runs the built command as a shell would. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StoredEvent } from 'varve';
import { afterAll } from 'vitest';

export const mainPath: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
export const historyPath: string = fileURLToPath(
  new URL('../../examples/repository-history.ndjson.gz', import.meta.url),
);

export interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

/** A folder of this test file's own, removed when its tests have run. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'varve-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function varveIn(folder: string): (...args: readonly string[]) => Ran {
  return (...args) => varveWith({ folder }, ...args);
}

export function varveWith(
  { folder, input = '' }: { readonly folder: string; readonly input?: string | Buffer },
  ...args: readonly string[]
): Ran {
  const ran = spawnSync(process.execPath, [mainPath, ...args], {
    cwd: folder,
    input,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  return { status: ran.status, out: ran.stdout, error: ran.stderr };
}

/** A command that gets Ctrl-C at the n-th call of a function of node:fs. */
export async function interruptedVarve(
  folder: string,
  at: { readonly call: 'read' | 'readSync'; readonly number: number },
  ...args: readonly string[]
): Promise<Ran> {
  const fixture = new URL('../fixtures/interrupt-itself.js', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', fixture, mainPath, ...args], {
    cwd: folder,
    env: { ...process.env, INTERRUPT_AT: `${at.call} ${at.number}` },
  });
  return endOf(child);
}

function endOf(child: ReturnType<typeof spawn>): Promise<Ran> {
  let out = '';
  let error = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (error += text));
  return new Promise((resolve) => {
    child.on('close', (status) => resolve({ status, out, error }));
  });
}

/** Lines of JSON, or of text that is none. */
export function writeLines(
  folder: string,
  name: string,
  lines: readonly (object | string)[],
): void {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  writeFileSync(join(folder, name), `${text.join('\n')}\n`);
}

export function linesOf<Value = StoredEvent>(text: string): Value[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Value);
}

/** What an export says, but for the times at which it was recorded. */
export function withoutTime(text: string): string {
  return text.replaceAll(/"time":\d+,/g, '');
}
