import { createHash } from 'node:crypto';
import { readFileSync, statfsSync, statSync } from 'node:fs';

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
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const mount = statSync(directory, { bigint: true }).dev;
  return createHash('sha256').update(`${boot} ${mount}`).digest('hex').slice(0, 16);
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
