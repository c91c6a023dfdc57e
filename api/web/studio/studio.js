/**
 * The studio: create a job, or view the one in the URL (/?job=ID).
 * /?rerun=ID loads a job into the form; /?init_job=ID does too, and starts from its result.
 */

import { $, loadStyles, setText } from "../common/dom.js";
import { startPage } from "../common/session.js";
import { showRecent } from "./recent.js";

const compose = $("#compose");
let jobView, jobStyles, route;
let form; // a promise of compose-form.js, once its form is ready

/** Show what the URL names, and load only the modules for that. */
async function showRoute() {
  if (route?.search === location.search) return; // only the fragment has changed
  const thisRoute = (route = { search: location.search });
  const query = new URLSearchParams(route.search);
  jobView?.close();
  jobView = null;
  compose.hidden = query.has("job");
  $("#job").hidden = !query.has("job");
  const updateRecent = () => showRecent($("#recent"), query.get("job"));
  updateRecent();
  if (query.has("job")) {
    jobStyles ??= loadStyles("/assets/job/job.css");
    const [{ JobView }] = await Promise.all([import("../job/job-view.js"), jobStyles]);
    if (route === thisRoute) jobView = new JobView($("#job"), encodeURIComponent(query.get("job")), updateRecent);
  } else {
    document.title = "Studio · Easel";
    setText($("#title"), query.has("init_job") ? "Continue from a result" : query.has("rerun") ? "Edit and rerun" : "Turn a photo into art");
    const { loadJob } = await (form ??= loadForm());
    if ((query.has("rerun") || query.has("init_job")) && route === thisRoute) await loadJob(query);
  }
}

async function loadForm() {
  const module = await import("./compose-form.js");
  await module.loadForm(showJob);
  return module;
}

function showJob(id) {
  history.pushState(null, "", `/?job=${id}`);
  showRoute();
}

addEventListener("popstate", showRoute);
compose.addEventListener("submit", async (event) => {
  event.preventDefault();
  (await form).submit(); // the button is visible before the form is loaded
});
startPage(showRoute);
