import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync, statfsSync, statSync } from 'node:fs';

/**
 * Names the places that can see each other's sockets in `directory`: a socket made in one place is answered for by the
 * kernel in the same place, and looks dead from any other one.
 *
 * - On a local file system there is one place, `local`: one kernel mounts it at a time, so a socket that its kernel does
 *   not know is dead, also after a restart or a move of the disk.
 * - On any other one (network, FUSE, unknown) it is this boot of this host and this mount. Nothing can be said of sockets
 *   from elsewhere.
 */
export function placeOf(directory: string): string {
  if (localFileSystems.has(statfsSync(directory).type)) {
    return 'local';
  }
  const mount = statSync(directory, { bigint: true }).dev;
  return createHash('sha256').update(`${bootId()} ${mount}`).digest('hex').slice(0, 16);
}

/**
 * Where the kernel lists the sockets that are made here: 8 digits for this boot, 8 for the network namespace. Containers of one
 * system may have namespaces of their own; a namespace lives, and its number is its own, as long as a socket in it.
 */
export function originHere(): string | undefined {
  try {
    const boot = createHash('sha256').update(bootId()).digest('hex').slice(0, 8);
    const namespace = /^net:\[(\d+)\]$/.exec(readlinkSync('/proc/self/ns/net'))?.[1];
    const digits = Number(namespace).toString(16);
    return namespace === undefined || digits.length > 8
      ? undefined
      : boot + digits.padStart(8, '0');
  } catch {
    // Not shown here: then nothing is concluded from it.
    return undefined;
  }
}

/** What two origins say of a socket made at one of them, asked about at the other. */
export type Distance = 'same list' | 'other boot' | 'unknown';

export function distanceOf(one: string | undefined, other: string | undefined): Distance {
  if (one === undefined || other === undefined) {
    return 'unknown';
  }
  if (one.slice(0, 8) !== other.slice(0, 8)) {
    return 'other boot';
  }
  return one === other ? 'same list' : 'unknown';
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** <linux/magic.h>. What is missing here is treated with more caution, not refused. */
const localFileSystems: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
  0xca451a4e, // bcachefs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
]);
