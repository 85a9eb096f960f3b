/**
 * Checks what users get, not what lies here: packs the package, unpacks it as it would be installed, and holds it against
 * publint, Are the types wrong, and every compiler and way of resolving modules that the types are promised to.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const compilers = join(root, 'scripts/compilers');
// On Windows npm is a script that only a shell runs.
const shell = process.platform === 'win32';

function run(command, args, options = {}) {
  const { status, error, stdout } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  });
  if (status !== 0) {
    throw new Error(`${command} ${args.join(' ')} failed.\n${stdout ?? ''}`, { cause: error });
  }
  return stdout;
}

/** Packs into `folder` and unpacks it into a project there; returns the tarball. */
function install(folder) {
  const packed = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    shell,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const tarball = join(folder, JSON.parse(packed)[0].filename);
  const target = join(folder, 'node_modules/varve');
  mkdirSync(target, { recursive: true });
  run('tar', ['-xzf', tarball, '-C', target, '--strip-components=1']);
  for (const name of ['@types', 'abstract-level']) {
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), 'junction');
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  cpSync(join(root, 'test/types'), join(folder, 'types'), { recursive: true });
  return tarball;
}

/** The compilers that are not the project's own. They are fetched when they are not there. */
function installCompilers() {
  const versions = JSON.parse(readFileSync(join(compilers, 'package.json'), 'utf8')).dependencies;
  const isThere = ([name, wanted]) => {
    const path = join(compilers, 'node_modules', name, 'package.json');
    return (
      existsSync(path) && wanted.endsWith(`@${JSON.parse(readFileSync(path, 'utf8')).version}`)
    );
  };
  if (!Object.entries(versions).every(isThere)) {
    run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: compilers, shell });
  }
}

/** Compilers, and ways of resolving modules: each has rules of its own for what a package's files mean. */
const ways = {
  'typescript-5.4': [
    ['Node16', 'Node16'],
    ['ESNext', 'Node10'],
  ],
  'typescript-5.9': [['ESNext', 'Bundler']],
};

/** Throws if a compiler finds anything in the declarations or in the files of type tests. */
async function compile(name, folder) {
  const path = join(compilers, 'node_modules', name, 'lib/typescript.js');
  const { default: ts } = await import(pathToFileURL(path).href);
  for (const [module, resolution] of ways[name]) {
    const options = {
      noEmit: true,
      strict: true,
      skipLibCheck: false,
      allowImportingTsExtensions: true,
      target: ts.ScriptTarget.ES2022,
      // No more than this may be needed.
      lib: ['lib.es2022.d.ts'],
      module: ts.ModuleKind[module],
      moduleResolution: ts.ModuleResolutionKind[resolution],
      types: ['node'],
      typeRoots: [join(folder, 'node_modules/@types')],
    };
    const files = ['event-types.ts', 'kv-types.ts'].map((file) => join(folder, 'types', file));
    const program = ts.createProgram(files, options);
    const found = ts.getPreEmitDiagnostics(program);
    if (found.length > 0) {
      const host = { getCurrentDirectory: () => folder, getCanonicalFileName: (file) => file };
      const text = ts.formatDiagnostics(found, { ...host, getNewLine: () => '\n' });
      throw new Error(`TypeScript ${ts.version}, ${resolution}:\n${text}`);
    }
    console.log(`TypeScript ${ts.version} finds nothing (${resolution})`);
  }
}

/** The project's own compiler is asked as a user would: by its command. */
function compileWithOwn(folder) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const flags = `--noEmit --strict --skipLibCheck false --allowImportingTsExtensions --target es2022 --lib es2022 --types node --module ${module} --moduleResolution ${resolution}`;
    const files = ['types/event-types.ts', 'types/kv-types.ts'];
    run(process.execPath, [tsc, ...flags.split(' '), ...files], { cwd: folder });
    console.log(`TypeScript of this project finds nothing (${resolution})`);
  }
}

async function main(folder) {
  const tarball = install(folder);
  run(process.execPath, [join(root, 'node_modules/publint/src/cli.js'), tarball, '--strict']);
  console.log('publint finds nothing');
  // A program of CommonJS loads an ES module with `require` in every Node that the package supports, so it need not be told not to.
  const rules = ['--ignore-rules', 'cjs-resolves-to-esm'];
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  run(process.execPath, [attw, tarball, '--no-emoji', ...rules]);
  console.log('Are the types wrong finds nothing');
  compileWithOwn(folder);
  installCompilers();
  for (const name of Object.keys(ways)) {
    await compile(name, folder);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'varve-package-'));
try {
  await main(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
