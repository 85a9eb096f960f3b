export type SystemErrorCode = keyof typeof textOfCode;

const textOfCode = {
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EINVAL: 'invalid argument',
  EIO: 'i/o error',
  EISDIR: 'illegal operation on a directory',
  EMFILE: 'too many open files',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  EPERM: 'operation not permitted',
} as const;

/** An error as `node:fs` throws it: `code`, `syscall`, `path`, and all three in the message. */
export function systemError(code: SystemErrorCode, syscall: string, path: string): Error {
  const message = `${code}: ${textOfCode[code]}, ${syscall} '${path}'`;
  return Object.assign(new Error(message), { code, syscall, path });
}
