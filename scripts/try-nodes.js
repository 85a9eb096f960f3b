/**
 * Runs a command with other versions of Node.js, one after the other, each put in front of the path:
 *
 *   node scripts/try-nodes.js 22.23.3 24.21.0 -- node --version
 *
 * Versions are exact. Their programs come from the npm registry, once, into `node_modules/.cache/nodes` or the folder that
 * VARVE_NODES names. What can't be fetched or fails ends this with an error: no version is ever left out in silence.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const isWindows = process.platform === 'win32';
const root = fileURLToPath(new URL('..', import.meta.url));
const cache = resolve(process.env.VARVE_NODES ?? join(root, 'node_modules/.cache/nodes'));
// The packages beneath `node`, asked for by name: it would install one of them by a script of its own.
const packageName = `node-${isWindows ? 'win' : process.platform}-${process.arch}`;

function fail(message) {
  console.error(`try-nodes: ${message}`);
  process.exit(1);
}

/** What `node --version` says, or undefined if it can't be run. */
function versionOf(program) {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The program of a version; fetched if it isn't there. */
function programOf(version) {
  const folder = join(cache, version);
  const program = join(folder, 'node_modules', packageName, 'bin', isWindows ? 'node.exe' : 'node');
  if (!existsSync(program) || versionOf(program) !== `v${version}`) {
    mkdirSync(folder, { recursive: true });
    const wanted = `${packageName}@${version}`;
    const flags = ['--no-save', '--no-audit', '--no-fund', '--prefix', folder];
    const args = ['install', ...flags, wanted];
    const { status } = spawnSync('npm', args, { stdio: 'inherit', shell: isWindows });
    if (status !== 0) {
      fail(`${wanted} could not be installed.`);
    }
  }
  const found = versionOf(program);
  if (found !== `v${version}`) {
    fail(`${program} should be v${version} and says ${found ?? 'nothing'}.`);
  }
  return program;
}

const border = process.argv.indexOf('--');
const versions = process.argv.slice(2, border === -1 ? undefined : border);
const command = border === -1 ? [] : process.argv.slice(border + 1);
if (versions.length === 0 || command.length === 0) {
  fail('usage: node scripts/try-nodes.js <version> … -- <command> …');
}
for (const version of versions) {
  if (!/^\d+\.\d+\.\d+$/.test(version)) {
    fail(`${version} is not an exact version, such as 24.21.0.`);
  }
}
for (const version of versions) {
  const program = programOf(version);
  const path = [dirname(program), process.env.PATH].join(delimiter);
  console.log(`\n=== Node.js ${version}: ${command.join(' ')}`);
  const env = { ...process.env, PATH: path };
  const { status, error } = spawnSync(command[0], command.slice(1), {
    cwd: root,
    stdio: 'inherit',
    env,
    shell: isWindows,
  });
  if (status !== 0) {
    fail(
      `the command failed with Node.js ${version}${error === undefined ? '' : ` (${error.message})`}.`,
    );
  }
}
