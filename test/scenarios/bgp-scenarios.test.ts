import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bgpScenarios, runScenario } from './bgp-scenario.ts';

for (const { name, events, peers } of bgpScenarios())
  test(`${name}: each step begins, ends and changes exactly these sessions`, () => {
    assert.equal(runScenario(events), peers);
  });
