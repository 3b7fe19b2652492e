"""The page: what is in it, that it stands alone, and how it behaves in a real browser."""

import base64
import hashlib
import html
import json
import re
import shlex
import shutil
import statistics

import pytest

from ablations.cli import report
from ablations.config import compose, run
from ablations.config import jobs as sweep
from ablations.config.study import load
from ablations.errors import UserError
from ablations.reports import page as reports_page
from ablations.reports import sketch
from ablations.runs import folder as folders
from ablations.runs import record as records
from ablations.runs.folder import RunFolder
from ablations.tables import comparable, critical, critical_table
from ablations_tests import depths
from ablations_tests.conftest import ROOT, here

DIGITS = ROOT / "results" / "digits"


def page(runs_dir, *settings):
    out = runs_dir / "report.html"
    assert report.command([f"runs_dir={runs_dir}", f"out={out}", *settings]) == 0
    return out.read_text()


def copy(tmp_path, *rows):
    """A folder with some rows of Table 1 on the digits."""
    for row in rows:
        shutil.copytree(DIGITS / "table1" / row, tmp_path / "table1" / row)
    return tmp_path


def median(row):
    """Of the test errors of a row's committed runs."""
    paths = (DIGITS / "table1" / row).glob("seed=*/record.json")
    return statistics.median(json.loads(path.read_text())["test_error_percent"] for path in paths)


def change(folder, **changed):
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(record | changed))


def test_runs_of_different_precision_are_two_tables(tmp_path):
    """Each with all of its rows, though no name of a row says so."""
    copy(tmp_path, "identity", "dropout")
    found, unreadable = folders.read_records(tmp_path, "table1")
    exact = [record | {"config": record["config"] | {"matmul_precision": "highest"}} for record in found]
    made = comparable.tables(load("table1"), found + exact, unreadable)
    assert [sorted({record["row"] for record in of_table}) for _, of_table in made] == [["dropout", "identity"]] * 2


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Table 1 on the digits but for two rows; runs that are not finished, or damaged."""
    runs_dir = tmp_path_factory.mktemp("runs")
    shutil.copytree(DIGITS / "table1", runs_dir / "table1")
    for row in ("dropout", "plain"):
        shutil.rmtree(runs_dir / "table1" / row)
    (runs_dir / "table1" / "conv1x1" / "seed=2" / "record.json").write_text('{"schema_version": 1, "st')
    (runs_dir / "table1" / "exclusive_gating_0" / "seed=1" / "record.json").unlink()
    (runs_dir / "table1" / "exclusive_gating_-3" / "seed=2" / "metrics.jsonl").write_text("no json\n")
    begun = runs_dir / "table1" / "identity,model=resnet20,data=cifar10,recipe=paper,recipe.total_steps=400" / "seed=0"
    begun.mkdir(parents=True)
    (begun / "metrics.jsonl").write_text("")
    out = runs_dir / "report.html"
    done = here("report", f"runs_dir={runs_dir}", f"out={out}", cwd=runs_dir)
    assert done.returncode == 0, done.stderr
    return out


def test_the_page_says_what_is_there_and_what_is_not(digits):
    text = digits.read_text()
    best = min((path.name for path in (DIGITS / "table1").iterdir()), key=median)
    assert f"best is {best}, with {median(best):.2f} % test error" in text
    assert "Not run: 2 of 16 rows" in text and "plain, dropout" in text
    assert "table1/conv1x1/seed=2" in text and "table1/exclusive_gating_0/seed=1" in text
    assert "metrics.jsonl is damaged" in text
    runs = [path.parent.parent.name for path in (DIGITS / "table1").glob("*/seed=*/record.json")]
    assert text.count("<details>") == sum(row not in ("plain", "dropout") for row in runs) - 2


def test_the_command_for_what_is_not_run_runs_it(digits):
    command = shlex.split(re.search(r"<pre[^>]*>(ablations train [^<]*)</pre>", digits.read_text())[1])
    with compose.hydra() as context:
        jobs = sweep.plan(context, command[2:])
    seeds = {path.name for path in (DIGITS / "table1").glob("*/seed=*")}
    expected = {digits.parent / "table1" / row / seed for row in ("plain", "dropout") for seed in seeds}
    assert {RunFolder.of(job.config).path for job in jobs} == expected
    done = records.read_record(digits.parent / "table1" / "identity" / "seed=0")["config"]
    assert {job.config.recipe.name for job in jobs} == {done["recipe"]["name"]}


def test_the_command_keeps_what_the_others_were_run_with():
    chosen = {"recipe.total_steps": "1564"}
    text = reports_page.make_page(ROOT / "results" / "cifar10", [load("table1")], chosen)
    command = shlex.split(re.search(r"<pre[^>]*>(ablations train [^<]*)</pre>", text)[1])
    assert "recipe.total_steps=1564" in command and "model=resnet20" in command
    assert "row=identity" not in command and "seed=0" not in command and "seeds=1" in command


def test_the_command_names_what_was_otherwise_in_an_older_recipe(tmp_path):
    """As if Table 2 had been run with 440 steps, before recipe=digits had 880; a table would refuse to mix them."""
    shutil.copytree(DIGITS / "table2", tmp_path / "table2")
    shutil.rmtree(tmp_path / "table2" / "resnet110_original")
    for path in tmp_path.rglob("record.json"):
        older = json.loads(path.read_text())
        older["config"]["recipe"] |= {"total_steps": 440, "drop_fractions": [0.5, 0.75]}
        path.write_text(json.dumps(older))
    command = shlex.split(html.unescape(re.search(r"<pre[^>]*>(ablations train [^<]*)</pre>", page(tmp_path))[1]))
    with compose.hydra() as context:
        job = sweep.plan(context, command[2:])[0]
    then = records.read_record(tmp_path / "table2" / "resnet164_original" / "seed=0")["config"]
    assert job.config.resolved()["recipe"] == run.from_resolved(then).resolved()["recipe"]
    assert "recipe.drop_fractions=[0.5,0.75]" in command and not any("model" in word for word in command)


def test_a_study_of_depths_has_its_critical_depths(tmp_path):
    depths.write(tmp_path, {"identity": (0, 0), "dropout": (0, 3)})
    shown = page(tmp_path).split("The depth at which half of the seeds fail", 1)[1].split("</ul>")[0]
    cells = critical_table.cells(critical.make(load("depth"), folders.read_records(tmp_path, "depth")[0]))
    assert list(map(html.unescape, re.findall(r"<td[^>]*>([^<]*)</td>", shown))) == [
        text for line in cells for text in list(line.values())[1:]
    ]
    assert "by logistic regression" in shown and "Trained on digits" not in shown, (
        "the notes of both tables are once there"
    )


def test_a_study_without_depths_has_none():
    found, unreadable = folders.read_records(DIGITS, "table1")
    [(made, records_of_it)] = comparable.tables(load("table1"), found, unreadable)
    assert reports_page._critical(made, records_of_it) is None


def test_the_page_needs_nothing_else(digits):
    text = digits.read_text()
    links = set(re.findall(r'(?:src|href|action)="([^"]*)"|url\(([^)]*)\)|@import', text))
    assert links and all(link.startswith("#") for pair in links for link in pair if link)
    assert not re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).count("http://www.w3.org")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy


def test_every_name_is_one_things_and_every_link_leads_somewhere(digits):
    text = digits.read_text()
    names = re.findall(r'\sid="([^"]+)"', text)
    assert len(names) == len(set(names)) > 50 and text.count("<figure") == text.count("<figcaption") == 2
    assert "Not drawn" not in text
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) and all(
        link in names for pair in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text) for link in pair if link
    )


def test_what_may_not_stand_beside_each_other_has_tables_of_its_own(tmp_path):
    copy(tmp_path, "identity", "conv1x1")
    config = json.loads((tmp_path / "table1" / "conv1x1" / "seed=0" / "record.json").read_text())["config"]
    longer = config | {"recipe": config["recipe"] | {"total_steps": 1760}}
    for seed in range(3):
        change(tmp_path / "table1" / "conv1x1" / f"seed={seed}", config=longer | {"seed": seed})
    text = page(tmp_path)
    assert text.count('<section class="study"') == 2 and "880 steps" in text and "1,760 steps" in text
    assert page(tmp_path, "recipe.total_steps=1760").count('<section class="study"') == 1


def test_text_of_records_is_text(tmp_path):
    copy(tmp_path, "identity")
    change(tmp_path / "table1" / "identity" / "seed=0", command="ablations <script>alert(1)</script>", device="<b>&")
    text = page(tmp_path)
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "<b>&" not in text


def test_an_empty_folder_says_so(tmp_path):
    assert "There is no finished run in this folder" in page(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        report.command([f"runs_dir={tmp_path}/none"])
    with pytest.raises(UserError, match="cannot be written"):
        report.command([f"runs_dir={tmp_path}", f"out={tmp_path}/none/report.html"])


def test_runs_of_no_study_have_a_table(tmp_path):
    shutil.copytree(DIGITS / "table1" / "identity", tmp_path / "single" / "identity")
    text = page(tmp_path)
    assert (
        "single: Runs that belong to no study" in text and f"Only identity is run: {median('identity'):.2f} %" in text
    )


def test_a_thousand_evaluations_make_a_short_curve():
    metrics = [{"step": i + 1, "train_loss": 1 / (i + 1), "test_error_percent": 100 / (i + 1)} for i in range(1000)]
    metrics[-1]["test_error_percent"] = 0.0
    text = sketch.curve(metrics)
    assert len(text) < 6000 and "Test error over 1000 steps, from 100.00 to 0.00 percent" in text
    x, y = text.split('class="error" d="')[1].split('"')[0].rsplit("L", 1)[1].split()
    assert float(x) == sketch.WIDTH - sketch.RIGHT and float(y) == pytest.approx(sketch.HEIGHT - sketch.BOTTOM, abs=1)


def test_a_curve_with_nothing_to_draw_is_drawn():
    line = {"step": 3, "train_loss": float("nan"), "test_error_percent": float("nan")}
    assert 'class="error" d=""' in sketch.curve([line])
    assert sketch.seeds([None, 3.0], None).count("<circle") == 1 and "cross" in sketch.seeds([None], 6.61)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
        f"disable-component-update disable-sync disable-dev-shm-usage user-data-dir={tmp_path_factory.mktemp('chromium')}"
    ).split():
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


@pytest.fixture
def opened(browser, digits):
    """The page, fresh, on a desktop; afterwards the console must be empty."""
    screen(browser, 1280)
    browser.get("about:blank")
    browser.get(digits.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def screen(browser, width, scheme="light"):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def column(browser, name):
    script = """const at = [...document.querySelectorAll("thead th")].findIndex((th) => th.textContent.trim() == arguments[0]);
        return [...document.querySelectorAll("tbody tr")].map((row) => row.cells[at].textContent.trim())"""
    return browser.execute_script(script, name)


def test_a_table_is_sorted_by_keyboard(opened):
    (button,) = (button for button in find(opened, "th button") if button.text == "ours")
    header = button.find_element("xpath", "..")
    before = column(opened, "row")

    def press():
        opened.execute_script("arguments[0].focus()", button)
        opened.switch_to.active_element.send_keys("\ue007")  # Enter
        cells = [cell for cell in column(opened, "ours") if cell != "not run"]
        assert column(opened, "ours")[len(cells) :] == ["not run"] * 2, "what is not run is last"
        return [float(re.search(r"[\d.]+", cell)[0]) for cell in cells]

    ascending = press()
    assert ascending == sorted(ascending) and len(ascending) == 14
    assert header.get_attribute("aria-sort") == "ascending"
    assert "sorted by ours, ascending" in opened.execute_script(
        "return document.querySelector('[role=status]').textContent"
    )
    assert press() == sorted(ascending, reverse=True) and header.get_attribute("aria-sort") == "descending"
    opened.execute_script("arguments[0].click()", button)
    assert column(opened, "row") == before and header.get_attribute("aria-sort") is None


def test_a_run_is_opened_by_keyboard_and_says_what_its_record_says(opened, digits):
    summary = find(opened, "#table1-0-0 summary")[1]
    opened.execute_script("arguments[0].focus()", summary)
    summary.send_keys(" ")
    run = summary.find_element("xpath", "..")
    assert run.get_attribute("open") is not None
    record = records.read_record(digits.parent / "table1" / "identity" / "seed=1")
    shown = dict(zip(
        (term.text for term in run.find_elements("css selector", "dt")),
        (data.get_attribute("value") for data in run.find_elements("css selector", "data")),
        strict=True,
    ))  # fmt: skip
    assert float(shown["test error percent"]) == record["test_error_percent"]
    assert shown["commit"] == record["commit"] and shown["device"] == record["device"]
    assert (
        f"recipe.learning_rate={record['config']['recipe']['learning_rate']}" in run.text and "jax 0.10.2" in run.text
    )
    assert run.find_element("css selector", "svg.curve").rect["height"] > 50


def test_a_link_to_a_row_opens_a_run(opened):
    from selenium.webdriver.support.wait import WebDriverWait

    find(opened, "tbody th a")[1].click()
    (run,) = WebDriverWait(opened, 30).until(lambda _: find(opened, "details[open]"))
    assert run.find_element("xpath", "..").get_attribute("id") == "table1-0-2"
    assert opened.current_url.endswith("#table1-0-2")


WIDE = "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
HINTS = "return [...document.querySelectorAll('p.fold span')].filter((e) => e.offsetWidth > 0).length"


def test_columns_fold_away_until_a_table_fits_and_come_back(opened):
    (table,) = find(opened, "table.sortable")
    (button,) = (button for button in find(opened, "p.fold button") if button.is_displayed())
    desktop = len(table.text.split("\n")[0].split())
    assert opened.execute_script(WIDE) == 0
    screen(opened, 390)
    assert len(table.text.split("\n")[0].split()) < desktop
    assert opened.execute_script(WIDE) == opened.execute_script(HINTS), "where one scrolls, a hint says so"
    assert not table.find_element("css selector", "th[data-name=figure]").is_displayed()
    hints = opened.execute_script(HINTS)
    opened.execute_script("arguments[0].click()", button)
    assert (
        table.find_element("css selector", "th[data-name=figure]").is_displayed()
        and button.text == "Show fewer columns"
    )
    assert opened.execute_script(HINTS) == hints + 1
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert not find(opened, "table.sortable .folded")


def test_a_phone_scrolls_in_one_direction_only(opened):
    screen(opened, 360)
    for element in find(opened, "details"):
        opened.execute_script("arguments[0].open = true", element)
    assert opened.execute_script("return document.documentElement.scrollWidth") == 360


def test_dark_and_light(opened):
    def lightness():
        script = "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
        return [int(re.search(r"\d+", colour)[0]) for colour in opened.execute_script(script)]

    paper, ink = lightness()
    assert paper > 200 > 60 > ink
    screen(opened, 1280, "dark")
    paper, ink = lightness()
    assert paper < 60 < 200 < ink


def test_nothing_is_loaded(opened):
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
    opened.execute_script("fetch('http://localhost:1/').catch(() => {})")
    refused = [entry["message"] for entry in opened.get_log("browser")]
    assert refused and all("Content Security Policy" in message for message in refused)
