import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../../base/log.io.ts';
import type { Secret } from '../../kubernetes/api.ts';
import { memoryKubernetes } from '../../kubernetes/memory.ts';
import { Draining } from './draining.io.ts';
import { Secrets, type SecretTexts } from './secrets.io.ts';

const log = openLog('test', 'fatal');
/** The memory twin tells on the microtask queue. */
const told = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const secret = (
  name: string,
  texts: Record<string, string>,
  namespace = 'kube-system',
): Secret => ({
  metadata: { name, namespace },
  data: Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
  ),
});

function following() {
  const kubernetes = memoryKubernetes();
  const heard: string[] = [];
  const changed = (name: string, texts: SecretTexts | undefined) =>
    void heard.push(`${name}: ${texts ? JSON.stringify([...texts]) : 'absent'}`);
  const secrets = new Secrets({ kubernetes, namespace: 'kube-system', log, changed });
  const news = async (): Promise<string[]> => {
    await told();
    return heard.splice(0);
  };
  return { kubernetes, secrets, news };
}

test('Secrets: those that are named, in the own namespace, as they come, change and go', async () => {
  const { kubernetes, secrets, news } = following();
  kubernetes.put('secrets', secret('a', { k: 'one\n' }));
  secrets.follow(new Set(['a', 'b']));
  assert.deepEqual(await news(), ['a: [["k","one"]]', 'b: absent']);
  kubernetes.put('secrets', secret('b', { k: 'two' }));
  kubernetes.put('secrets', secret('b', { k: 'elsewhere' }, 'default'));
  kubernetes.put('secrets', secret('c', { k: 'nobody asks' }));
  kubernetes.put('secrets', secret('a', { k: 'three\r\n', l: 'four' }));
  assert.deepEqual(await news(), ['b: [["k","two"]]', 'a: [["k","three"],["l","four"]]']);
  kubernetes.remove('secrets', 'a', 'kube-system');
  assert.deepEqual(await news(), ['a: absent']);
});

test('Secrets: nothing is told of those that nobody names any more', async () => {
  const { kubernetes, secrets, news } = following();
  secrets.follow(new Set(['a', 'b']));
  await news();
  secrets.follow(new Set(['b']));
  kubernetes.put('secrets', secret('a', { k: 'x' }));
  kubernetes.put('secrets', secret('b', { k: 'y' }));
  assert.deepEqual(await news(), ['b: [["k","y"]]']);
  secrets.close();
  kubernetes.put('secrets', secret('b', { k: 'z' }));
  assert.deepEqual(await news(), []);
});

test('draining: while the node is cordoned, and for good when the speaker is being stopped', async () => {
  const kubernetes = memoryKubernetes();
  const heard: boolean[] = [];
  const put = async (unschedulable: boolean) => {
    kubernetes.put('nodes', { metadata: { name: 'n1' }, spec: { unschedulable } });
    kubernetes.put('nodes', { metadata: { name: 'n2' }, spec: { unschedulable: true } });
    await told();
  };
  const changed = (draining: boolean) => void heard.push(draining);
  const draining = new Draining({ kubernetes, node: 'n1', log, changed });
  await put(false);
  assert.deepEqual(heard, []);
  await put(true);
  await put(true);
  await put(false);
  assert.deepEqual(heard, [true, false]);
  draining.begin();
  await put(true);
  await put(false);
  assert.deepEqual([heard, draining.draining], [[true, false, true], true]);
  draining.close();
});
