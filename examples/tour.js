/**
 * A tour of Varve in well under a minute: imports the bundled history of four storage engines (17,758 events), shows that
 * importing it again adds nothing, looks around, and verifies everything. `npm start` builds and runs it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const history = fileURLToPath(new URL('repository-history.ndjson.gz', import.meta.url));
const store = './varve-data';
const file = relative(process.cwd(), history);
const hasColor = process.stdout.isTTY === true && !process.env.NO_COLOR;

/** Runs a command as you would, and shows it. */
function run(...args) {
  const line = `$ npx varve ${args.join(' ')}`;
  console.log(style(2, line.length < 80 ? line : line.replace(' --', ' \\\n    --')));
  const { status, signal } = spawnSync(process.execPath, [main, ...args], { stdio: 'inherit' });
  console.log();
  if (status !== 0) {
    if (existsSync(store)) {
      console.error(`The tour stops here. To begin afresh, remove or rename ${store}.`);
    }
    process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
  }
}

function say(text) {
  console.log(style(1, text));
}

function style(code, text) {
  return hasColor ? `\u001B[${code}m${text}\u001B[22m` : text;
}

const mapping = '--group-by correlationId --key correlationId --occurred-at time';
const importHistory = ['import', file, store, ...mapping.split(' ')];

console.log();
if (existsSync(store)) {
  say(`${store} is there from an earlier start: what it holds will be recognized, not repeated.`);
} else {
  say('The history of four storage engines: 17,758 file changes in 1,422 commits.');
  console.log('Each commit goes in whole or not at all, and is on disk when it is counted.');
}
run(...importHistory);

say('The same once more: every commit is known by its key.');
run(...importHistory);

say('Streams are named like paths.');
run('streams', store, '--delimiter', '/');
run('streams', store, '--prefix', 'holt/src/', '--delimiter', '/');

say('One stream: the life of one file.');
run('read', store, '--stream', 'kimberlite/crates/vdb-runtime/src/lib.rs');

say('Every checksum, hash and link, recomputed from the bytes on disk.');
run('verify', store);

say('Now you');
console.log(`  npx varve append ${store} notes/1 --type NoteTaken --data '{"text":"hello"}'
  npx varve read ${store} --backwards --limit 5
  npx varve get ${store} 1042
  npx varve export ${store} | head -3
  npx varve dump ${store} --frames | less
  npx varve --help

In a program: import { open } from 'varve'. ${store} can be removed at any time.`);
