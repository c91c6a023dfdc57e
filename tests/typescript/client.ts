// A client made with openapi-fetch and the types of the OpenAPI document. The test compiles it; nothing runs it.
import createClient from "openapi-fetch";
import type { components, operations, paths } from "./schema";

type JobStatus = components["schemas"]["JobStatus"];
type JobEvent = operations["get_events"]["responses"][200]["content"]["text/event-stream"];

const easel = createClient<paths>({ baseUrl: "http://127.0.0.1:8080" });

export async function queuedJobs(): Promise<JobStatus[]> {
  const { data, error } = await easel.GET("/v1/jobs", { params: { query: { state: "queued", limit: 5 } } });
  if (error) throw new Error(`${error.code}: ${error.detail}`);
  return data.jobs;
}

export async function resultUrl(id: string): Promise<string | null> {
  const { data } = await easel.GET("/v1/jobs/{job_id}", { params: { path: { job_id: id } } });
  return data?.state === "succeeded" ? data.urls.result : null;
}

export async function cancel(id: string): Promise<void> {
  await easel.POST("/v1/jobs/{job_id}/cancel", { params: { path: { job_id: id } } });
}

export function describe(event: JobEvent): string {
  switch (event.kind) {
    case "progress":
      return `step ${event.data.progress.current} of ${event.data.progress.total}`;
    case "state":
      return event.data.state;
    case "warning":
      return event.data.detail;
    default:
      return event.kind;
  }
}

// @ts-expect-error - the types refuse an unknown parameter
easel.GET("/v1/jobs", { params: { query: { sate: "queued" } } });
