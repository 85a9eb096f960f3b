/**
 * Runs the smoke program under Bun and Deno, and has each runtime open what the others have left. They are installed, with the package as it
 * would be published, into a folder of its own: together they have 200 MB, too much for everybody's `npm ci`. One that can't be installed is left out,
 * which is an error only with VARVE_RUNTIMES=required.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const runtimes = [
  { name: 'Bun', install: 'bun@1.4.5', command: ['bun'] },
  { name: 'Deno', install: 'deno@2.9.6', command: ['deno', 'run', '--allow-all'] },
];

const project = join(import.meta.dirname, '..');
const folder = mkdtempSync(join(tmpdir(), 'varve-runtimes-'));
let failedCount = 0;

try {
  process.exitCode = tryAll() ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

function tryAll() {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const packed = npm(project, 'pack', '--ignore-scripts', '--pack-destination', folder);
  const tarball = packed.stdout.trim().split('\n').at(-1);
  check('the package can be installed', npm(folder, 'install', join(folder, tarball)));
  for (const name of ['smoke.js', 'smoke-client.js']) {
    cpSync(join(project, 'test', 'fixtures', name), join(folder, name));
  }
  const installed = runtimes.filter(isInstalled);
  const all = [{ name: 'Node', command: [process.execPath] }, ...installed];
  for (const { name, command } of all) {
    check(`${name}: the smoke program`, run(command, name, 'auto'));
  }
  for (const reader of all) {
    for (const { name } of all.filter((other) => other !== reader)) {
      check(`${reader.name} finds what ${name} has left`, run(reader.command, name, 'found'));
    }
  }
  for (const { name, command } of installed) {
    const { status, ...rest } = run(command, `${name}-thread`, 'thread');
    const isRefused = status !== 0 && rest.stderr.includes(`no threads of its own under ${name}`);
    check(`${name}: a thread that is insisted on is refused`, {
      status: isRefused ? 0 : 1,
      ...rest,
    });
  }
  const isIncomplete = installed.length < runtimes.length;
  return failedCount === 0 && !(isIncomplete && process.env.VARVE_RUNTIMES === 'required');
}

function isInstalled({ name, install }) {
  const { status, stderr } = npm(folder, 'install', '--save-exact', install);
  if (status !== 0) {
    console.log(`skipped ${name}: ${install} can't be installed here\n${stderr.trimEnd()}`);
  }
  return status === 0;
}

function run([command, ...args], stores, task) {
  const all = [...args, join(folder, 'smoke.js'), join(folder, stores), task];
  const PATH = `${join(folder, 'node_modules', '.bin')}:${process.env.PATH}`;
  const env = { ...process.env, PATH, NO_COLOR: '1' };
  // What hangs has failed.
  return spawnSync(command, all, { cwd: folder, encoding: 'utf8', env, timeout: 120_000 });
}

function npm(cwd, ...args) {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  return spawnSync('npm', [...args, ...quiet], { cwd, encoding: 'utf8' });
}

function check(what, { status, stdout, stderr }) {
  console.log(`${status === 0 ? 'ok' : 'FAILED'} ${what}`);
  if (status !== 0) {
    failedCount += 1;
    console.log(`${stdout}${stderr}`);
  }
}
