/** Entry of the thread that makes and merges the tables of derived data. */
import { threadStarter } from '../io/thread.ts';
import { runBackgroundThread } from '../kv/compaction/background-thread.ts';
import { RunSource } from './run-source.ts';

void runBackgroundThread(threadStarter('indexBackground'), new RunSource());
