/** Entry of the thread that flushes, merges and ingests. */
import { threadStarter } from '../../io/thread.ts';
import { runBackgroundThread } from './background-thread.ts';

void runBackgroundThread(threadStarter('kvBackground'));
