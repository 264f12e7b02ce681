"""Who sends the requests: this process, or workers that report to a master?"""
