/** Entry of the thread that writes the event log. */
import { threadStarter } from '../io/thread.ts';
import { runWriterThread } from '../journal/writer-thread.ts';
import { LogEncoder, type LogEncoderState } from './log-encoder.ts';

void runWriterThread(threadStarter('eventLog'), (state) =>
  LogEncoder.fromState(state as LogEncoderState),
);
