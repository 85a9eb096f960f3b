import { type PackedError, unpackError } from '../base/error-transfer.ts';
import { asVarveError, VarveError } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import type { Clock } from '../io/clock.ts';
import { checkComponents, checkedClock } from '../io/components.ts';
import {
  isMessagePort,
  isNodePort,
  type MessagePort,
  openPort,
  type Port,
} from '../io/message-port.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { NewEvent } from '../log/event.ts';
import {
  type AttachComponents,
  type AttachOptions,
  resolveAttachOptions,
} from './attach-options.ts';
import {
  type Hello,
  type OwnerMessage,
  PROTOCOL_VERSION,
  type Welcome,
} from './client-protocol.ts';
import type { StoreClient } from './contract.ts';
import { AttachedStore } from './store-client.ts';

const componentNames = new Set(['clock', 'codecs']);

/** Ports that a client of this thread has, or had. */
const usedPorts = new WeakSet<MessagePort>();

/**
 * Makes this thread a client of a store that another one has opened, over a port from its `share()`. The client keeps what
 * `StoreClient` promises, and its thread may end at any time. The port is the client's from now on.
 *
 * Throws `CLOSED` (the store is closed, or its thread has ended), `INVALID_ARGUMENT` (no port of a store, or one that was
 * used before), `UNSUPPORTED_FORMAT` (the threads run different versions of Varve, or the port is none of Node's).
 */
export async function attach<Event extends NewEvent = NewEvent>(
  port: MessagePort,
  options: AttachOptions = {},
  components: AttachComponents = {},
): Promise<StoreClient<Event>> {
  const { timeoutMs, laneBytes } = resolveAttachOptions(options);
  checkComponents(components, componentNames);
  const codecs = new CodecRegistry(components.codecs);
  if (!isMessagePort(port)) {
    throw new VarveError('INVALID_ARGUMENT', 'Give the port that share() of the store returned.');
  }
  if (!isNodePort(port)) {
    throw new VarveError(
      'UNSUPPORTED_FORMAT',
      'This runtime turns a port that is sent in a message into one that can not be used: give it to the thread in its workerData.',
    );
  }
  if (usedPorts.has(port)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'A port of a store is for one client, and this one has been used: call share() for each.',
    );
  }
  usedPorts.add(port);
  const hello: Hello = { kind: 'hello', protocol: PROTOCOL_VERSION, laneSize: laneBytes };
  const clock = checkedClock(components.clock, silentLogger);
  return shakeHands<Event>(port, hello, { clock, timeoutMs }, (opened, welcome) => {
    const { compression, compressionMinBytes } = welcome;
    const payloads = { codec: codecs.named(compression), compressionMinBytes };
    return new AttachedStore<Event>(opened, welcome, payloads);
  });
}

/** Says hello and waits for the owner to answer; afterwards what comes over the port is the client's. */
function shakeHands<Event extends NewEvent>(
  port: MessagePort,
  hello: Hello,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
  makeClient: (opened: Port, welcome: Welcome) => AttachedStore<Event>,
): Promise<AttachedStore<Event>> {
  return new Promise((resolve, reject) => {
    let client: AttachedStore<Event> | undefined;
    const refuse = (error: unknown): void => {
      timer.cancel();
      opened.close();
      reject(asVarveError(error, 'The client could not be attached'));
    };
    const accept = (message: unknown): void => {
      try {
        client = makeClient(opened, welcomeIn(message));
      } catch (error) {
        refuse(error);
        return;
      }
      timer.cancel();
      opened.hold(false);
      resolve(client);
    };
    const opened = openPort(port, {
      received: (message) => {
        if (kindOf(message) === 'offer') {
          return;
        }
        if (client === undefined) {
          accept(message);
        } else {
          client.received(message as OwnerMessage);
        }
      },
      closed: () => {
        if (client === undefined) {
          refuse(closed());
        } else {
          client.disconnected();
        }
      },
    });
    const timer = clock.schedule(timeoutMs, () => refuse(notAnswered(timeoutMs)));
    opened.hold(true);
    opened.post(hello);
  });
}

/** Throws if the message is another one. */
function welcomeIn(message: unknown): Welcome {
  const kind = kindOf(message);
  if (kind === 'welcome') {
    return message as Welcome;
  }
  if (kind === 'refused') {
    throw unpackError((message as { readonly error: PackedError }).error);
  }
  if (kind === 'closed') {
    throw closed();
  }
  throw new VarveError(
    'INVALID_ARGUMENT',
    'Something else than a store has answered: give a port from share() of a store.',
  );
}

function kindOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'kind' in message
    ? message.kind
    : undefined;
}

function closed(): VarveError {
  return new VarveError('CLOSED', 'The store has been closed, or its thread has ended.');
}

function notAnswered(timeoutMs: number): VarveError {
  return new VarveError(
    'INVALID_ARGUMENT',
    `Nobody has answered on this port within ${timeoutMs} ms: give one from share() of an open store, and a longer timeoutMs if the store's thread is that busy.`,
  );
}
