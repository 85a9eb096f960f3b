/** Where the measurement takes place, and who else was at work meanwhile. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { resolve } from 'node:path';

/** @param {string} directory Where stores are made. */
export function describeEnvironment(directory) {
  const memory = Math.round(totalmem() / 2 ** 30);
  return [
    `${cpus().length} × ${cpus()[0].model.trim()}, ${memory} GiB, ${process.platform} ${release()}, Node ${process.version}`,
    `stores in ${directory} (${fileSystemOf(directory)}), load average at start ${loadText()}`,
  ];
}

export function loadText() {
  return loadavg()
    .map((load) => load.toFixed(2))
    .join(' ');
}

/** Starts watching the machine; the function returned tells how busy others were since, in CPUs. */
export function watchOthers() {
  const before = busySeconds();
  const own = process.cpuUsage();
  const start = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(own);
    const seconds = (performance.now() - start) / 1e3;
    return Math.max(0, busySeconds() - before - (user + system) / 1e6) / seconds;
  };
}

function busySeconds() {
  let ms = 0;
  for (const { times } of cpus()) {
    ms += times.user + times.nice + times.sys + times.irq;
  }
  return ms / 1e3;
}

function fileSystemOf(directory) {
  if (process.platform !== 'linux') {
    return 'file system unknown';
  }
  const path = `${resolve(directory)}/`;
  const mounts = readFileSync('/proc/mounts', 'utf8').trim().split('\n');
  const found = mounts
    .map((line) => line.split(' '))
    .filter(([, point]) => path.startsWith(point === '/' ? '/' : `${point}/`))
    .toSorted(([, one], [, other]) => other.length - one.length)[0];
  return found === undefined ? 'file system unknown' : `${found[2]} on ${found[0]}, ${found[3]}`;
}
