from django.apps import AppConfig


class AnnotationSiteConfig(AppConfig):
    name = "annotation_site"
    verbose_name = "The labelling site"
