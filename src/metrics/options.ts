/** Whether the gateway counts and measures for Prometheus. */
import { z } from 'zod';

export interface MetricsOptions {
  enabled: boolean;
}

export const metricsSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Serve `/metrics` in the text format of Prometheus; without it the path is 404.'),
  })
  .transform((keys): MetricsOptions => keys)
  .prefault({})
  .describe('Numbers for Prometheus.');
