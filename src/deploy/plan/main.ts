// `calico-kit plan`, as a program of its own: the images have no constructs, so the CLI in them has no plan.
import { runPlan } from './run.io.ts';

try {
  process.exitCode = runPlan(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
