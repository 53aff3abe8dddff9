"""Scripts that came into a page by some hole: the browser refuses to run them."""

from playwright.sync_api import Browser, Route

from tests.fakes.studio import Studio

INJECTED = "<script>window.ran = 'script'</script><img src=/nowhere onerror=\"window.ran = 'handler'\">"
INTO_THE_DOM = """() => {
  const script = document.createElement("script");
  script.textContent = "window.ran = 'element'";
  document.body.append(script);
}"""


def test_the_page_runs_its_own_inline_scripts_alone(browser: Browser, running: Studio) -> None:
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text) if said.type == "error" else None)

    def inject(route: Route) -> None:
        answer = route.fetch()
        html = answer.text()
        assert "</body>" in html
        route.fulfill(response=answer, body=html.replace("</body>", f"{INJECTED}</body>"))

    page.route(f"{running.url}/", inject)
    page.goto(f"{running.url}/")
    page.wait_for_selector("#bar .studio-panel > *", state="attached")
    page.evaluate(INTO_THE_DOM)
    assert page.evaluate("window.gradio_config.mode") == "blocks"
    assert page.evaluate("window.ran") is None
    assert len([text for text in refused if "Content Security Policy" in text]) == 3
    context.close()
