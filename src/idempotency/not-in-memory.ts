/** Thrown where memory doesn't hold an answer: whoever asks has it read first, and asks again. Nothing is wrong. */
export class NotInMemory extends Error {
  override readonly name = 'NotInMemory';
}

/** Made once: it says nothing of where it is thrown. */
export const notInMemory: NotInMemory = new NotInMemory('The answer has to be read first.');
