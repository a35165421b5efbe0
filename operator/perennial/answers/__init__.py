"""Who answers the questions of plans: each kind of question has a module, and a line in `Answers.answer`."""

import aiohttp

from perennial.answers.mlflow import MlflowServers
from perennial.answers.notices import Notices
from perennial.answers.prometheus import PrometheusServers
from perennial.answers.scrape import Scraper
from perennial.answers.webhook import Webhooks
from perennial.config import Config
from perennial.questions import Answer, Call, Notice, Query, Question, Rehearsal, Runs, Scrape

_TIMEOUT = aiohttp.ClientTimeout(total=10)


class Answers:
    """Asks over HTTP. An async context manager."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def __aenter__(self) -> "Answers":
        # Neither cookies nor proxies of the environment: pods are asked by their addresses.
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        self._scraper = Scraper(self._session)
        self._prometheus = PrometheusServers(self._session, self._config.prometheus_servers)
        self._mlflow = MlflowServers(self._session, self._config.mlflow_servers)
        self._webhooks = Webhooks(self._session, self._config.webhooks)
        self._notices = Notices(self._session, self._config.receivers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def answer(self, question: Question) -> Answer:
        """The answer; what goes wrong is one, too."""
        try:
            match question:
                case Scrape():
                    return await self._scraper.answer(question)
                case Query():
                    return await self._prometheus.answer(question)
                case Runs():
                    return await self._mlflow.answer(question)
                case Call():
                    return await self._webhooks.answer(question)
                case Notice():
                    return await self._notices.answer(question)
                case Rehearsal():
                    raise TypeError("this is asked of the API server")
        except TimeoutError:
            return Answer(error=f"no answer within {_TIMEOUT.total:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(error=f"{type(error).__name__}: {error}")
        except ValueError as error:
            return Answer(error=str(error))
