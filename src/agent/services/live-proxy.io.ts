// Whether a kube-proxy runs on this node: its health server answers. Two that write the same chains
// would undo each other's work. Our own health server answers there in the same words, and says so.
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { OURS } from './proxy-health.io.ts';

/** kube-proxy's default; the agent's pod is in the node's own network. */
export const KUBE_PROXY_HEALTH = 'http://127.0.0.1:10256/healthz';
const PATIENCE_MILLISECONDS = 1000;

/** Its answer has this in it whether it is healthy or not. */
const ANSWER = /"lastUpdated"/;

/** Nobody there, or somebody else: false. */
export async function kubeProxyAnswers(url = KUBE_PROXY_HEALTH): Promise<boolean> {
  try {
    const response = await answerOf(url);
    return !(OURS in response.headers) && ANSWER.test(await text(response));
  } catch {
    return false;
  }
}

// Not fetch, which is a client of its own: 10 MiB for one question.
const answerOf = (url: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    get(url, { signal, agent: false }, resolve).on('error', reject);
  });
