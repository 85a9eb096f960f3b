/** Entry of the thread that writes the log of a key-value store. */
import { threadStarter } from '../../io/thread.ts';
import { runWriterThread } from '../../journal/writer-thread.ts';
import { KvLogEncoder } from './kv-log-encoder.ts';

void runWriterThread(threadStarter('kvLog'), () => new KvLogEncoder());
