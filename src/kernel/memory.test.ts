import { kernelCases } from './kernel.cases.ts';
import { memoryKernel } from './memory.ts';

kernelCases('memory', () => {
  const kernel = memoryKernel();
  kernel.addNetns('/run/netns/pod');
  return { kernel, podNetns: '/run/netns/pod', done: () => {} };
});
