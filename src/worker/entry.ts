/** The worker's script: an engine host behind the Comlink edge. */
import { expose } from 'comlink';
import { HostEdge } from './edge';
import { EngineHost } from './host';

expose(new HostEdge(new EngineHost()));
